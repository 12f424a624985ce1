"""The codecs of services that answer with the bare text."""
