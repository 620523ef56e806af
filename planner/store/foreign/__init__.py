"""Result files of other load-test tools, one reader each, and what they have in common."""
