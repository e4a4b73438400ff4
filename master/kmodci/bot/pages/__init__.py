"""The farm's own pages, and what they have in common (`base`). `bot.site` mounts them."""
