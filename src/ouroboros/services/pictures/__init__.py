"""Pictures of previews: taken in the background after a publish, looked at now, and compared."""
