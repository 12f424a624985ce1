"""The codec of OpenAI's Responses API."""
