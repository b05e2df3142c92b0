-- Names that contain parts of a name, in any order.

-- search --
-- Projects, models, sensors, requests and causes whose names match all patterns ($1); $2 of each at most. Best first: the
-- whole name ($3, in lower case), then one that begins with it, then the shortest.
SELECT kind, project, model, tag, label FROM (
    (SELECT 'project' AS kind, name AS project, '' AS model, '' AS tag, name AS label, 0 AS group_
     FROM project WHERE name ILIKE ALL ($1::text[]) ORDER BY length(name), name LIMIT $2)
    UNION ALL
    (SELECT 'model', project, name, '', project || '/' || name, 1 FROM model
     WHERE project || '/' || name ILIKE ALL ($1)
     ORDER BY lower(name) <> $3 AND lower(project || '/' || name) <> $3, NOT starts_with(lower(name), $3), length(name), project, name
     LIMIT $2)
    UNION ALL
    (SELECT 'sensor', '', '', tag, tag, 2
     FROM (SELECT DISTINCT jsonb_array_elements_text(spec -> 'tag_list') AS tag FROM model WHERE spec IS NOT NULL) t
     WHERE tag ILIKE ALL ($1) ORDER BY length(tag), tag LIMIT $2)
    UNION ALL
    (SELECT DISTINCT 'cause', '', '', '', reason, 3 FROM parked WHERE reason ILIKE ALL ($1) LIMIT $2)
    UNION ALL
    (SELECT 'request', '', '', '', id::text, 4 FROM request WHERE state IS NOT NULL AND id::text = $3 LIMIT $2)
) found
ORDER BY lower(label) <> $3 AND lower(model) <> $3, NOT starts_with(lower(label), $3) AND NOT starts_with(lower(model), $3),
         group_, length(label), label
LIMIT $2;
