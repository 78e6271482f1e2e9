"""Work queue, cache, and the pass that observes, decides and acts."""
