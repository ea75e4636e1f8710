"""Artifacts behind an HTTP API; filled by the service issue."""
