"""The codec of chat completions, and of the services that speak them, each in its dialect."""
