DROP INDEX release_by_time;
