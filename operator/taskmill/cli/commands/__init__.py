"""One module for each word after `kubectl task`."""
