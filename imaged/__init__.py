"""imaged: image-based provisioning of clusters, labs and render farms."""

__version__ = "0.1.0"
