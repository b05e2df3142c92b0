-- task_published_at --
ALTER TABLE task ADD COLUMN published_at timestamptz;
