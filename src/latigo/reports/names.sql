-- The names that people may use.

-- projects --
-- Listed, with models, or with models registered by hand.
SELECT name FROM project UNION SELECT project FROM model UNION SELECT project FROM roster WHERE registered;

-- models --
SELECT project, name FROM model UNION SELECT project, name FROM roster WHERE registered;
