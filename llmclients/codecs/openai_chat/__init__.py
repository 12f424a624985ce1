"""The codec of chat completions, and of the services that speak them with habits of their own."""
