"""The synchronous transport, over requests. Only this package imports requests and urllib3."""
