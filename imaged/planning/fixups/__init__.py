"""Changes that make an image a node's own, each a pure function of facts."""
