"""What `kmodci doctor` looks at: each module one kind of thing, that it asks and does not change; `findings` judges."""
