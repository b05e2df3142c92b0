-- The names that people may use.

-- projects --
-- Listed, with models, or with models registered by hand.
SELECT name FROM project UNION SELECT project FROM model UNION SELECT project FROM roster WHERE registered;

-- models --
SELECT project, name FROM model UNION SELECT project, name FROM roster WHERE registered;

-- not_built --
SELECT project, name, since FROM expected_model;

-- knows_sensor --
-- Whether a model has this sensor, or a failure is about it.
SELECT EXISTS (SELECT FROM model WHERE spec -> 'tag_list' ? $1 OR spec -> 'target_tag_list' ? $1 OR spec -> 'filter_tags' ? $1)
    OR EXISTS (SELECT FROM failing WHERE tags @> ARRAY[$1]) AS known;

-- sensors --
SELECT DISTINCT jsonb_array_elements_text(spec -> 'tag_list') AS name FROM model WHERE spec IS NOT NULL;
