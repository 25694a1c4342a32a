"""What docker-compose.yml runs and mounts beside the image's own programs."""
