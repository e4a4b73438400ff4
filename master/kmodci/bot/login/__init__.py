"""Who is asking: how people log in, and what each of them may do. `ways` chooses what `login:` of kmodci.yml says."""
