"""The host's service: `daemon` accepts VMs and local clients, and gives each client a context."""
