"""SQLite files, as stores and caches share them: opened safely, known for ours, and with errors that say what to do."""
