"""HTTP API over a result, and the web app."""
