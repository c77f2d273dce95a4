"""Every message, subject, stream and error code of llmos; imports nothing else of ours."""
