-- A table of before computed it from the body with a reader of its own.
ALTER TABLE interactions MODIFY COLUMN attached Bool DEFAULT true
