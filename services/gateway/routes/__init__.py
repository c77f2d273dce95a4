"""The admin API: REST under `/admin/v1`, each endpoint one call to the registry."""
