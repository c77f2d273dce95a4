"""The file system: immutable versions in S3, the names that point to them, and what each pool serves."""
