"""The codec of Cohere's chat API, version 2."""
