"""Identity: organisations, their projects, API keys and what each may use; every gateway knows its keys by heart."""
