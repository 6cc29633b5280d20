"""The server's own disk: settings, image versions, manifests, the node database."""
