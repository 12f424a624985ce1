"""The embedded model: the engine's servers, the weights file, and the installation of both."""
