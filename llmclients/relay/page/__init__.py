"""The relay's page: chats in a browser, in front of what the relay serves, kept in the history."""
