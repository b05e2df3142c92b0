-- How late readings of the newest slots were when they were read.

-- lateness --
-- Slots of a day by source, by the bound below which a delay would have made them complete, and by whether they were.
CREATE TABLE lateness (
    source          text NOT NULL,
    day             date NOT NULL,
    bound           interval NOT NULL,
    complete        boolean NOT NULL,
    slots           bigint NOT NULL,
    PRIMARY KEY (source, day, bound, complete)
);
