"""The container image, built and run without a registry: `make image-test`."""
