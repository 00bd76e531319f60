"""The virtio-gpu device, part by part."""
