"""The audit log: lines of JSON in a chain, so that nothing can be changed or taken away unseen."""
