"""What a client is told: timeouts, retry policy, proxies, the environment, and the settings made of them."""
