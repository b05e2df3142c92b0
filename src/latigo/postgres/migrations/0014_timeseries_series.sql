-- timeseries_series --
-- Ids of series in the Timeseries API, by the name and facility that were asked for: a cache.
CREATE TABLE timeseries_series (
    base_url        text NOT NULL,
    facility        text NOT NULL,
    name            text NOT NULL,
    id              text NOT NULL,
    series_name     text NOT NULL,
    series_facility text NOT NULL,
    found_at        timestamptz NOT NULL,
    PRIMARY KEY (base_url, facility, name)
);

-- timeseries_series_found_at --
CREATE INDEX timeseries_series_found_at ON timeseries_series (found_at);
