"""The installation in containers: images, the job that makes secrets, the settings that people may choose."""
