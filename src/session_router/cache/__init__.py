"""The semantic cache: partition first, certified per hit."""
