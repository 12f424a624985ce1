"""The codec of Ollama's own chat API."""
