"""The wire formats: pure, one file each."""
