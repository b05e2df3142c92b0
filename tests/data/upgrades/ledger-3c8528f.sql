--
-- PostgreSQL database dump
--


-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: ensure_prediction_day(date); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.ensure_prediction_day(day date) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    name constant text := 'prediction_' || to_char(day, 'YYYYMMDD');
    leaving boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('latigo prediction days'));
    SELECT inhdetachpending INTO leaving
    FROM pg_inherits WHERE inhparent = 'prediction'::regclass AND inhrelid = to_regclass(name);
    IF leaving THEN
        RAISE EXCEPTION '% is being dropped', name USING ERRCODE = 'lock_not_available';
    ELSIF leaving IS NULL THEN
        EXECUTE format('DROP TABLE IF EXISTS %I', name);  -- left over by a drop that was cut short
        EXECUTE format('CREATE TABLE %I (LIKE prediction INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
                       name);
        EXECUTE format('ALTER TABLE prediction ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
                       day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END IF;
END
$$;


--
-- Name: ledger_now(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.ledger_now() RETURNS timestamp with time zone
    LANGUAGE sql PARALLEL SAFE
    AS $$ SELECT timestamptz '2026-03-01T12:40:00Z' + interval '0 seconds' $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: circuit; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.circuit (
    downstream text NOT NULL,
    reason text NOT NULL,
    alarm boolean DEFAULT false NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    pause interval NOT NULL,
    probe_at timestamp with time zone NOT NULL
);


--
-- Name: coverage; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.coverage (
    model_id bigint NOT NULL,
    covered tstzmultirange DEFAULT '{}'::tstzmultirange NOT NULL,
    expired tstzmultirange DEFAULT '{}'::tstzmultirange NOT NULL,
    silent_since timestamp with time zone,
    hold_until timestamp with time zone,
    deferrals integer DEFAULT 0 NOT NULL
)
WITH (fillfactor='70');
ALTER TABLE ONLY public.coverage ALTER COLUMN covered SET STORAGE EXTERNAL;


--
-- Name: executor; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.executor (
    id text NOT NULL,
    version text NOT NULL,
    envelope_low integer NOT NULL,
    envelope_high integer NOT NULL,
    concurrency integer NOT NULL,
    working_limit integer DEFAULT 0 NOT NULL,
    in_flight integer DEFAULT 0 NOT NULL,
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL
);


--
-- Name: model; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.model (
    id bigint NOT NULL,
    project text NOT NULL,
    name text NOT NULL,
    revision text NOT NULL,
    epoch integer DEFAULT 1 NOT NULL,
    state text DEFAULT 'active'::text NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    since timestamp with time zone NOT NULL,
    slot interval NOT NULL,
    delay interval NOT NULL,
    fold interval NOT NULL,
    fold_limit interval,
    spec jsonb,
    anomaly boolean,
    stale_metadata boolean DEFAULT false NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    CONSTRAINT model_state_check CHECK ((state = ANY (ARRAY['active'::text, 'disabled'::text, 'unregistered'::text, 'gone'::text, 'unusable'::text])))
);


--
-- Name: parked; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.parked (
    model_id bigint NOT NULL,
    revision text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    windows tstzmultirange NOT NULL,
    since timestamp with time zone NOT NULL,
    version text NOT NULL
);


--
-- Name: slot_exception; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.slot_exception (
    model_id bigint NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    looks smallint NOT NULL,
    next_look timestamp with time zone NOT NULL,
    slots tstzmultirange NOT NULL,
    CONSTRAINT slot_exception_state_check CHECK ((state = ANY (ARRAY['absent'::text, 'short'::text, 'provisional'::text])))
);


--
-- Name: task; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task (
    id bigint NOT NULL,
    model_id bigint NOT NULL,
    epoch integer NOT NULL,
    span tstzrange NOT NULL,
    lane text NOT NULL,
    state text NOT NULL,
    probe boolean DEFAULT false NOT NULL,
    trace text DEFAULT ''::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    starts integer DEFAULT 0 NOT NULL,
    claim integer DEFAULT 0 NOT NULL,
    claimed_by text,
    lease_until timestamp with time zone,
    not_before timestamp with time zone,
    stored_in text[] DEFAULT '{}'::text[] NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    channel text DEFAULT ''::text NOT NULL,
    planned_at timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone,
    published_at timestamp with time zone,
    CONSTRAINT task_lane_check CHECK ((lane = ANY (ARRAY['live'::text, 'backfill'::text, 'repair'::text, 'manual'::text]))),
    CONSTRAINT task_state_check CHECK ((state = ANY (ARRAY['planned'::text, 'published'::text, 'claimed'::text, 'waiting'::text])))
)
WITH (fillfactor='70');


--
-- Name: model_holes; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.model_holes AS
 WITH clock AS MATERIALIZED (
         SELECT public.ledger_now() AS at
        ), busy AS (
         SELECT task.model_id,
            range_agg(task.span) AS spans,
            COALESCE(bool_or((task.lane = 'live'::text)) FILTER (WHERE (task.state <> 'waiting'::text)), false) AS live_out,
            COALESCE(bool_or((task.lane <> 'live'::text)) FILTER (WHERE (task.state <> 'waiting'::text)), false) AS back_out
           FROM public.task
          GROUP BY task.model_id
        ), waiting AS (
         SELECT e_1.model_id,
            range_agg(stretch.stretch) AS slots
           FROM (public.slot_exception e_1
             CROSS JOIN LATERAL unnest(e_1.slots) stretch(stretch))
          WHERE (e_1.next_look > ( SELECT clock.at
                   FROM clock))
          GROUP BY e_1.model_id
        ), stuck AS (
         SELECT p.model_id,
            range_agg(stretch.stretch) AS windows
           FROM (public.parked p
             CROSS JOIN LATERAL unnest(p.windows) stretch(stretch))
          GROUP BY p.model_id
        ), edge AS (
         SELECT m.id,
            m.slot,
            LEAST(m.fold, m.fold_limit) AS fold,
            m.since,
            clock.at,
            GREATEST(date_bin(m.slot, (clock.at - m.delay), '1970-01-01 00:00:00+00'::timestamp with time zone), m.since) AS due
           FROM (public.model m
             CROSS JOIN clock)
          WHERE ((m.state = 'active'::text) AND (NOT m.paused))
        )
 SELECT e.id AS model_id,
    e.at,
    e.slot,
    e.fold,
    e.due,
    upper(c.covered) AS covered_end,
    COALESCE((c.hold_until > e.at), false) AS held,
    COALESCE(b.live_out, false) AS live_out,
    COALESCE(b.back_out, false) AS back_out,
    ((pg_column_size(c.covered) > 2000) AND (e.since < (e.due - (e.fold * (4)::double precision)))) AS cut,
    ((((((tstzmultirange(tstzrange(
        CASE
            WHEN (pg_column_size(c.covered) > 2000) THEN GREATEST(e.since, (e.due - (e.fold * (4)::double precision)))
            ELSE e.since
        END, e.due)) - c.covered) - c.expired) - COALESCE(b.spans, '{}'::tstzmultirange)) - COALESCE(w.slots, '{}'::tstzmultirange)) - COALESCE(s.windows, '{}'::tstzmultirange)) - e.silent) AS recent,
    ((((((tstzmultirange(tstzrange(e.since, e.due)) - c.covered) - c.expired) - COALESCE(b.spans, '{}'::tstzmultirange)) - COALESCE(w.slots, '{}'::tstzmultirange)) - COALESCE(s.windows, '{}'::tstzmultirange)) - e.silent) AS holes
   FROM ((((( SELECT edge.id,
            edge.slot,
            edge.fold,
            edge.since,
            edge.at,
            edge.due,
                CASE
                    WHEN (c_1.silent_since < (edge.due - edge.slot)) THEN tstzmultirange(tstzrange(c_1.silent_since, (edge.due - edge.slot)))
                    ELSE '{}'::tstzmultirange
                END AS silent
           FROM (edge
             JOIN public.coverage c_1 ON ((c_1.model_id = edge.id)))) e
     JOIN public.coverage c ON ((c.model_id = e.id)))
     LEFT JOIN busy b ON ((b.model_id = e.id)))
     LEFT JOIN waiting w ON ((w.model_id = e.id)))
     LEFT JOIN stuck s ON ((s.model_id = e.id)));


--
-- Name: model_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.model ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.model_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: planner; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.planner (
    one boolean DEFAULT true NOT NULL,
    holder text DEFAULT ''::text NOT NULL,
    term bigint DEFAULT 0 NOT NULL,
    lease_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT planner_one_check CHECK (one)
);


--
-- Name: prediction; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.prediction (
    series_id integer CONSTRAINT prediction_series_id_not_null1 NOT NULL,
    "time" timestamp with time zone NOT NULL,
    columns_id integer CONSTRAINT prediction_columns_id_not_null1 NOT NULL,
    "values" double precision[] NOT NULL
)
PARTITION BY RANGE ("time");
ALTER TABLE ONLY public.prediction ALTER COLUMN "values" SET STORAGE EXTERNAL;


--
-- Name: prediction_20260301; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.prediction_20260301 (
    series_id integer CONSTRAINT prediction_series_id_not_null1 NOT NULL,
    "time" timestamp with time zone CONSTRAINT prediction_time_not_null NOT NULL,
    columns_id integer CONSTRAINT prediction_columns_id_not_null1 NOT NULL,
    "values" double precision[] CONSTRAINT prediction_values_not_null NOT NULL
);
ALTER TABLE ONLY public.prediction_20260301 ALTER COLUMN "values" SET STORAGE EXTERNAL;


--
-- Name: prediction_columns; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.prediction_columns (
    id integer NOT NULL,
    series_id integer NOT NULL,
    revision text NOT NULL,
    column_groups text[] NOT NULL,
    tags text[] NOT NULL,
    digest bytea NOT NULL,
    used_until timestamp with time zone NOT NULL
);


--
-- Name: prediction_columns_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.prediction_columns ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.prediction_columns_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: prediction_series; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.prediction_series (
    id integer NOT NULL,
    project text NOT NULL,
    model text NOT NULL
);


--
-- Name: prediction_series_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.prediction_series ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.prediction_series_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: project; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.project (
    name text NOT NULL,
    revision text DEFAULT ''::text NOT NULL,
    models integer DEFAULT 0 NOT NULL,
    listed_at timestamp with time zone,
    error text DEFAULT ''::text NOT NULL,
    doubted_since timestamp with time zone,
    doubted_models integer DEFAULT 0 NOT NULL,
    accept_loss boolean DEFAULT false NOT NULL
);


--
-- Name: queue_checkpoint; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.queue_checkpoint (
    channel text NOT NULL,
    consumer_group text NOT NULL,
    partition text NOT NULL,
    sequence bigint NOT NULL,
    hub_offset text NOT NULL,
    modified_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');


--
-- Name: queue_ownership; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.queue_ownership (
    channel text NOT NULL,
    consumer_group text NOT NULL,
    partition text NOT NULL,
    owner_id text NOT NULL,
    etag bigint DEFAULT 1 NOT NULL,
    modified_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');


--
-- Name: queue_partition; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.queue_partition (
    channel text NOT NULL,
    consumer_group text NOT NULL,
    partition text NOT NULL,
    begin_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    read_at timestamp with time zone NOT NULL,
    hub_recreated boolean DEFAULT false NOT NULL,
    mark_sequence bigint,
    mark_at timestamp with time zone,
    drained_to timestamp with time zone
)
WITH (fillfactor='50');


--
-- Name: queue_refused; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.queue_refused (
    id bigint NOT NULL,
    channel text NOT NULL,
    partition text NOT NULL,
    sequence bigint,
    task_id bigint,
    reason text NOT NULL,
    detail text NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT queue_refused_reason_check CHECK ((reason = ANY (ARRAY['unreadable'::text, 'too_new'::text, 'too_large'::text])))
);


--
-- Name: queue_refused_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.queue_refused ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.queue_refused_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: request; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.request (
    id bigint NOT NULL,
    kind text NOT NULL,
    who text NOT NULL,
    at timestamp with time zone NOT NULL,
    selector jsonb NOT NULL,
    result text DEFAULT ''::text NOT NULL
);


--
-- Name: request_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.request ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.request_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: roster; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.roster (
    project text NOT NULL,
    name text NOT NULL,
    registered boolean NOT NULL,
    data jsonb DEFAULT '{}'::jsonb NOT NULL,
    who text NOT NULL,
    at timestamp with time zone NOT NULL
);


--
-- Name: task_history; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task_history (
    id bigint NOT NULL,
    model_id bigint NOT NULL,
    revision text NOT NULL,
    epoch integer NOT NULL,
    span tstzrange NOT NULL,
    lane text NOT NULL,
    outcome text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    attempts integer NOT NULL,
    starts integer NOT NULL,
    rows integer DEFAULT 0 NOT NULL,
    covered interval DEFAULT '00:00:00'::interval NOT NULL,
    claimed_by text,
    planned_at timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone,
    settled_at timestamp with time zone NOT NULL
)
PARTITION BY RANGE (settled_at);


--
-- Name: task_history_20260228; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task_history_20260228 (
    id bigint CONSTRAINT task_history_id_not_null NOT NULL,
    model_id bigint CONSTRAINT task_history_model_id_not_null NOT NULL,
    revision text CONSTRAINT task_history_revision_not_null NOT NULL,
    epoch integer CONSTRAINT task_history_epoch_not_null NOT NULL,
    span tstzrange CONSTRAINT task_history_span_not_null NOT NULL,
    lane text CONSTRAINT task_history_lane_not_null NOT NULL,
    outcome text CONSTRAINT task_history_outcome_not_null NOT NULL,
    reason text DEFAULT ''::text CONSTRAINT task_history_reason_not_null NOT NULL,
    detail text DEFAULT ''::text CONSTRAINT task_history_detail_not_null NOT NULL,
    attempts integer CONSTRAINT task_history_attempts_not_null NOT NULL,
    starts integer CONSTRAINT task_history_starts_not_null NOT NULL,
    rows integer DEFAULT 0 CONSTRAINT task_history_rows_not_null NOT NULL,
    covered interval DEFAULT '00:00:00'::interval CONSTRAINT task_history_covered_not_null NOT NULL,
    claimed_by text,
    planned_at timestamp with time zone CONSTRAINT task_history_planned_at_not_null NOT NULL,
    claimed_at timestamp with time zone,
    settled_at timestamp with time zone CONSTRAINT task_history_settled_at_not_null NOT NULL
);


--
-- Name: task_history_20260301; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task_history_20260301 (
    id bigint CONSTRAINT task_history_id_not_null NOT NULL,
    model_id bigint CONSTRAINT task_history_model_id_not_null NOT NULL,
    revision text CONSTRAINT task_history_revision_not_null NOT NULL,
    epoch integer CONSTRAINT task_history_epoch_not_null NOT NULL,
    span tstzrange CONSTRAINT task_history_span_not_null NOT NULL,
    lane text CONSTRAINT task_history_lane_not_null NOT NULL,
    outcome text CONSTRAINT task_history_outcome_not_null NOT NULL,
    reason text DEFAULT ''::text CONSTRAINT task_history_reason_not_null NOT NULL,
    detail text DEFAULT ''::text CONSTRAINT task_history_detail_not_null NOT NULL,
    attempts integer CONSTRAINT task_history_attempts_not_null NOT NULL,
    starts integer CONSTRAINT task_history_starts_not_null NOT NULL,
    rows integer DEFAULT 0 CONSTRAINT task_history_rows_not_null NOT NULL,
    covered interval DEFAULT '00:00:00'::interval CONSTRAINT task_history_covered_not_null NOT NULL,
    claimed_by text,
    planned_at timestamp with time zone CONSTRAINT task_history_planned_at_not_null NOT NULL,
    claimed_at timestamp with time zone,
    settled_at timestamp with time zone CONSTRAINT task_history_settled_at_not_null NOT NULL
);


--
-- Name: task_history_20260302; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task_history_20260302 (
    id bigint CONSTRAINT task_history_id_not_null NOT NULL,
    model_id bigint CONSTRAINT task_history_model_id_not_null NOT NULL,
    revision text CONSTRAINT task_history_revision_not_null NOT NULL,
    epoch integer CONSTRAINT task_history_epoch_not_null NOT NULL,
    span tstzrange CONSTRAINT task_history_span_not_null NOT NULL,
    lane text CONSTRAINT task_history_lane_not_null NOT NULL,
    outcome text CONSTRAINT task_history_outcome_not_null NOT NULL,
    reason text DEFAULT ''::text CONSTRAINT task_history_reason_not_null NOT NULL,
    detail text DEFAULT ''::text CONSTRAINT task_history_detail_not_null NOT NULL,
    attempts integer CONSTRAINT task_history_attempts_not_null NOT NULL,
    starts integer CONSTRAINT task_history_starts_not_null NOT NULL,
    rows integer DEFAULT 0 CONSTRAINT task_history_rows_not_null NOT NULL,
    covered interval DEFAULT '00:00:00'::interval CONSTRAINT task_history_covered_not_null NOT NULL,
    claimed_by text,
    planned_at timestamp with time zone CONSTRAINT task_history_planned_at_not_null NOT NULL,
    claimed_at timestamp with time zone,
    settled_at timestamp with time zone CONSTRAINT task_history_settled_at_not_null NOT NULL
);


--
-- Name: task_history_20260303; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task_history_20260303 (
    id bigint CONSTRAINT task_history_id_not_null NOT NULL,
    model_id bigint CONSTRAINT task_history_model_id_not_null NOT NULL,
    revision text CONSTRAINT task_history_revision_not_null NOT NULL,
    epoch integer CONSTRAINT task_history_epoch_not_null NOT NULL,
    span tstzrange CONSTRAINT task_history_span_not_null NOT NULL,
    lane text CONSTRAINT task_history_lane_not_null NOT NULL,
    outcome text CONSTRAINT task_history_outcome_not_null NOT NULL,
    reason text DEFAULT ''::text CONSTRAINT task_history_reason_not_null NOT NULL,
    detail text DEFAULT ''::text CONSTRAINT task_history_detail_not_null NOT NULL,
    attempts integer CONSTRAINT task_history_attempts_not_null NOT NULL,
    starts integer CONSTRAINT task_history_starts_not_null NOT NULL,
    rows integer DEFAULT 0 CONSTRAINT task_history_rows_not_null NOT NULL,
    covered interval DEFAULT '00:00:00'::interval CONSTRAINT task_history_covered_not_null NOT NULL,
    claimed_by text,
    planned_at timestamp with time zone CONSTRAINT task_history_planned_at_not_null NOT NULL,
    claimed_at timestamp with time zone,
    settled_at timestamp with time zone CONSTRAINT task_history_settled_at_not_null NOT NULL
);


--
-- Name: task_history_20261127; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task_history_20261127 (
    id bigint CONSTRAINT task_history_id_not_null NOT NULL,
    model_id bigint CONSTRAINT task_history_model_id_not_null NOT NULL,
    revision text CONSTRAINT task_history_revision_not_null NOT NULL,
    epoch integer CONSTRAINT task_history_epoch_not_null NOT NULL,
    span tstzrange CONSTRAINT task_history_span_not_null NOT NULL,
    lane text CONSTRAINT task_history_lane_not_null NOT NULL,
    outcome text CONSTRAINT task_history_outcome_not_null NOT NULL,
    reason text DEFAULT ''::text CONSTRAINT task_history_reason_not_null NOT NULL,
    detail text DEFAULT ''::text CONSTRAINT task_history_detail_not_null NOT NULL,
    attempts integer CONSTRAINT task_history_attempts_not_null NOT NULL,
    starts integer CONSTRAINT task_history_starts_not_null NOT NULL,
    rows integer DEFAULT 0 CONSTRAINT task_history_rows_not_null NOT NULL,
    covered interval DEFAULT '00:00:00'::interval CONSTRAINT task_history_covered_not_null NOT NULL,
    claimed_by text,
    planned_at timestamp with time zone CONSTRAINT task_history_planned_at_not_null NOT NULL,
    claimed_at timestamp with time zone,
    settled_at timestamp with time zone CONSTRAINT task_history_settled_at_not_null NOT NULL
);


--
-- Name: task_history_20261128; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task_history_20261128 (
    id bigint CONSTRAINT task_history_id_not_null NOT NULL,
    model_id bigint CONSTRAINT task_history_model_id_not_null NOT NULL,
    revision text CONSTRAINT task_history_revision_not_null NOT NULL,
    epoch integer CONSTRAINT task_history_epoch_not_null NOT NULL,
    span tstzrange CONSTRAINT task_history_span_not_null NOT NULL,
    lane text CONSTRAINT task_history_lane_not_null NOT NULL,
    outcome text CONSTRAINT task_history_outcome_not_null NOT NULL,
    reason text DEFAULT ''::text CONSTRAINT task_history_reason_not_null NOT NULL,
    detail text DEFAULT ''::text CONSTRAINT task_history_detail_not_null NOT NULL,
    attempts integer CONSTRAINT task_history_attempts_not_null NOT NULL,
    starts integer CONSTRAINT task_history_starts_not_null NOT NULL,
    rows integer DEFAULT 0 CONSTRAINT task_history_rows_not_null NOT NULL,
    covered interval DEFAULT '00:00:00'::interval CONSTRAINT task_history_covered_not_null NOT NULL,
    claimed_by text,
    planned_at timestamp with time zone CONSTRAINT task_history_planned_at_not_null NOT NULL,
    claimed_at timestamp with time zone,
    settled_at timestamp with time zone CONSTRAINT task_history_settled_at_not_null NOT NULL
);


--
-- Name: task_history_20261129; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task_history_20261129 (
    id bigint CONSTRAINT task_history_id_not_null NOT NULL,
    model_id bigint CONSTRAINT task_history_model_id_not_null NOT NULL,
    revision text CONSTRAINT task_history_revision_not_null NOT NULL,
    epoch integer CONSTRAINT task_history_epoch_not_null NOT NULL,
    span tstzrange CONSTRAINT task_history_span_not_null NOT NULL,
    lane text CONSTRAINT task_history_lane_not_null NOT NULL,
    outcome text CONSTRAINT task_history_outcome_not_null NOT NULL,
    reason text DEFAULT ''::text CONSTRAINT task_history_reason_not_null NOT NULL,
    detail text DEFAULT ''::text CONSTRAINT task_history_detail_not_null NOT NULL,
    attempts integer CONSTRAINT task_history_attempts_not_null NOT NULL,
    starts integer CONSTRAINT task_history_starts_not_null NOT NULL,
    rows integer DEFAULT 0 CONSTRAINT task_history_rows_not_null NOT NULL,
    covered interval DEFAULT '00:00:00'::interval CONSTRAINT task_history_covered_not_null NOT NULL,
    claimed_by text,
    planned_at timestamp with time zone CONSTRAINT task_history_planned_at_not_null NOT NULL,
    claimed_at timestamp with time zone,
    settled_at timestamp with time zone CONSTRAINT task_history_settled_at_not_null NOT NULL
);


--
-- Name: task_history_20261130; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task_history_20261130 (
    id bigint CONSTRAINT task_history_id_not_null NOT NULL,
    model_id bigint CONSTRAINT task_history_model_id_not_null NOT NULL,
    revision text CONSTRAINT task_history_revision_not_null NOT NULL,
    epoch integer CONSTRAINT task_history_epoch_not_null NOT NULL,
    span tstzrange CONSTRAINT task_history_span_not_null NOT NULL,
    lane text CONSTRAINT task_history_lane_not_null NOT NULL,
    outcome text CONSTRAINT task_history_outcome_not_null NOT NULL,
    reason text DEFAULT ''::text CONSTRAINT task_history_reason_not_null NOT NULL,
    detail text DEFAULT ''::text CONSTRAINT task_history_detail_not_null NOT NULL,
    attempts integer CONSTRAINT task_history_attempts_not_null NOT NULL,
    starts integer CONSTRAINT task_history_starts_not_null NOT NULL,
    rows integer DEFAULT 0 CONSTRAINT task_history_rows_not_null NOT NULL,
    covered interval DEFAULT '00:00:00'::interval CONSTRAINT task_history_covered_not_null NOT NULL,
    claimed_by text,
    planned_at timestamp with time zone CONSTRAINT task_history_planned_at_not_null NOT NULL,
    claimed_at timestamp with time zone,
    settled_at timestamp with time zone CONSTRAINT task_history_settled_at_not_null NOT NULL
);


--
-- Name: task_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.task ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.task_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: v_coverage; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_coverage AS
 SELECT m.project,
    m.name AS model,
    c.covered
   FROM (public.model m
     JOIN public.coverage c ON ((c.model_id = m.id)));


--
-- Name: v_exceptions; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_exceptions AS
 SELECT m.project,
    m.name AS model,
    tstzrange(at.at, (at.at + m.slot)) AS slot,
    e.state,
    e.reason,
    NULLIF(e.next_look, 'infinity'::timestamp with time zone) AS next_look
   FROM (((public.slot_exception e
     JOIN public.model m ON ((m.id = e.model_id)))
     CROSS JOIN LATERAL unnest(e.slots) stretch(stretch))
     CROSS JOIN LATERAL generate_series(lower(stretch.stretch), (upper(stretch.stretch) - '00:00:00.000001'::interval), m.slot) at(at));


--
-- Name: v_models; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_models AS
 SELECT project,
    name AS model,
    revision,
    epoch,
        CASE
            WHEN paused THEN 'paused'::text
            ELSE state
        END AS state,
    since,
    slot
   FROM public.model;


--
-- Name: v_parked; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_parked AS
 SELECT m.project,
    m.name AS model,
    p.revision,
    p.reason,
    p.windows,
    p.detail,
    p.since
   FROM (public.parked p
     JOIN public.model m ON ((m.id = p.model_id)));


--
-- Name: v_predictions; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_predictions AS
 SELECT s.project,
    s.model,
    c.revision,
    each.column_group,
    each.tag,
    p."time",
    each.value
   FROM (((public.prediction p
     JOIN public.prediction_series s ON ((s.id = p.series_id)))
     JOIN public.prediction_columns c ON ((c.id = p.columns_id)))
     CROSS JOIN LATERAL UNNEST(c.column_groups, c.tags, p."values") each(column_group, tag, value))
  WHERE (each.value IS NOT NULL);


--
-- Name: v_queue; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_queue AS
 SELECT p.channel,
    p.consumer_group,
    p.partition,
    p.last_sequence,
    c.sequence AS checkpoint,
    GREATEST((p.last_sequence - GREATEST(c.sequence, (p.begin_sequence - 1))), (0)::bigint) AS lag,
    p.read_at,
    p.drained_to,
    p.hub_recreated
   FROM (public.queue_partition p
     LEFT JOIN public.queue_checkpoint c USING (channel, consumer_group, partition));


--
-- Name: v_tasks; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.v_tasks AS
 SELECT t.id,
    m.project,
    m.name AS model,
    t.span AS "window",
    t.lane,
    t.state,
    t.attempts,
    t.starts
   FROM (public.task t
     JOIN public.model m ON ((m.id = t.model_id)))
UNION ALL
 SELECT h.id,
    m.project,
    m.name AS model,
    h.span AS "window",
    h.lane,
    h.outcome AS state,
    h.attempts,
    h.starts
   FROM (public.task_history h
     JOIN public.model m ON ((m.id = h.model_id)));


--
-- Name: prediction_20260301; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.prediction ATTACH PARTITION public.prediction_20260301 FOR VALUES FROM ('2026-03-01 00:00:00+00') TO ('2026-03-02 00:00:00+00');


--
-- Name: task_history_20260228; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task_history ATTACH PARTITION public.task_history_20260228 FOR VALUES FROM ('2026-02-28 00:00:00+00') TO ('2026-03-01 00:00:00+00');


--
-- Name: task_history_20260301; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task_history ATTACH PARTITION public.task_history_20260301 FOR VALUES FROM ('2026-03-01 00:00:00+00') TO ('2026-03-02 00:00:00+00');


--
-- Name: task_history_20260302; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task_history ATTACH PARTITION public.task_history_20260302 FOR VALUES FROM ('2026-03-02 00:00:00+00') TO ('2026-03-03 00:00:00+00');


--
-- Name: task_history_20260303; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task_history ATTACH PARTITION public.task_history_20260303 FOR VALUES FROM ('2026-03-03 00:00:00+00') TO ('2026-03-04 00:00:00+00');


--
-- Name: task_history_20261127; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task_history ATTACH PARTITION public.task_history_20261127 FOR VALUES FROM ('2026-11-27 00:00:00+00') TO ('2026-11-28 00:00:00+00');


--
-- Name: task_history_20261128; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task_history ATTACH PARTITION public.task_history_20261128 FOR VALUES FROM ('2026-11-28 00:00:00+00') TO ('2026-11-29 00:00:00+00');


--
-- Name: task_history_20261129; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task_history ATTACH PARTITION public.task_history_20261129 FOR VALUES FROM ('2026-11-29 00:00:00+00') TO ('2026-11-30 00:00:00+00');


--
-- Name: task_history_20261130; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task_history ATTACH PARTITION public.task_history_20261130 FOR VALUES FROM ('2026-11-30 00:00:00+00') TO ('2026-12-01 00:00:00+00');


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alembic_version VALUES
	('0004');


--
-- Data for Name: circuit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.circuit VALUES
	('gordo/plant-b', 'gordo/plant-b: connection refused', false, '2026-03-01 12:40:00+00', '00:00:15', '2026-03-01 12:40:15+00');


--
-- Data for Name: coverage; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.coverage VALUES
	(1, '{["2026-03-01 10:00:00+00","2026-03-01 12:00:00+00")}', '{}', NULL, NULL, 0),
	(2, '{["2026-03-01 10:00:00+00","2026-03-01 12:00:00+00")}', '{}', NULL, NULL, 0),
	(6, '{}', '{}', NULL, NULL, 0),
	(7, '{}', '{}', NULL, NULL, 0),
	(8, '{}', '{}', NULL, NULL, 0),
	(3, '{}', '{}', NULL, NULL, 0),
	(4, '{}', '{}', NULL, '2026-03-01 12:40:01.134364+00', 1),
	(5, '{["2026-03-01 11:00:00+00","2026-03-01 11:30:00+00")}', '{}', '2026-03-01 11:30:00+00', NULL, 0),
	(9, '{}', '{}', NULL, NULL, 0),
	(10, '{}', '{}', NULL, NULL, 0),
	(11, '{["2026-03-01 10:30:00+00","2026-03-01 11:30:00+00")}', '{}', NULL, NULL, 0);


--
-- Data for Name: executor; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.executor VALUES
	('executor.example/7/0a1b2c3d', '0.1.0', 1, 1, 8, 0, 0, '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00');


--
-- Data for Name: model; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.model OVERRIDING SYSTEM VALUE VALUES
	(1, 'plant-a', 'compressor-002', '1764547200000', 1, 'active', false, '2026-03-01 10:00:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {"1903.PT-0001.PV": "1903-DEMO", "1903.TT-0001.PV": "1903-DEMO"}, "tag_list": ["1903.PT-0001.PV", "1903.TT-0001.PV"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["1903.PT-0001.PV", "1903.TT-0001.PV"], "interpolation_limit": 7200.0, "interpolation_method": "linear_interpolation"}', false, false, '2026-03-01 12:07:01.301477+00'),
	(2, 'plant-a', 'pump-001', '1764547200000', 1, 'active', false, '2026-03-01 10:00:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {"1903.PT-0000.PV": "1903-DEMO", "1903.TT-0000.PV": "1903-DEMO"}, "tag_list": ["1903.PT-0000.PV", "1903.TT-0000.PV"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["1903.PT-0000.PV", "1903.TT-0000.PV"], "interpolation_limit": 7200.0, "interpolation_method": "linear_interpolation"}', true, false, '2026-03-01 12:07:01.301823+00'),
	(3, 'plant-b', 'crashed', '1000', 1, 'active', false, '2026-03-01 09:30:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {}, "tag_list": ["a", "b"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["a", "b"], "interpolation_limit": 172800.0, "interpolation_method": "linear_interpolation"}', NULL, false, '2026-03-01 12:40:00+00'),
	(4, 'plant-b', 'deferred', '1000', 1, 'active', false, '2026-03-01 09:30:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {}, "tag_list": ["a", "b"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["a", "b"], "interpolation_limit": 172800.0, "interpolation_method": "linear_interpolation"}', NULL, false, '2026-03-01 12:40:00+00'),
	(5, 'plant-b', 'gaps', '1000', 1, 'active', false, '2026-03-01 09:30:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {}, "tag_list": ["a", "b"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["a", "b"], "interpolation_limit": 172800.0, "interpolation_method": "linear_interpolation"}', NULL, false, '2026-03-01 12:40:00+00'),
	(6, 'plant-b', 'in-claim', '1000', 1, 'active', false, '2026-03-01 09:30:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {}, "tag_list": ["a", "b"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["a", "b"], "interpolation_limit": 172800.0, "interpolation_method": "linear_interpolation"}', NULL, false, '2026-03-01 12:40:00+00'),
	(7, 'plant-b', 'in-queue', '1000', 1, 'active', false, '2026-03-01 09:30:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {}, "tag_list": ["a", "b"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["a", "b"], "interpolation_limit": 172800.0, "interpolation_method": "linear_interpolation"}', NULL, false, '2026-03-01 12:40:00+00'),
	(8, 'plant-b', 'planned', '1000', 1, 'active', false, '2026-03-01 09:30:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {}, "tag_list": ["a", "b"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["a", "b"], "interpolation_limit": 172800.0, "interpolation_method": "linear_interpolation"}', NULL, false, '2026-03-01 12:40:00+00'),
	(9, 'plant-b', 'refused', '1000', 1, 'active', false, '2026-03-01 09:30:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {}, "tag_list": ["a", "b"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["a", "b"], "interpolation_limit": 172800.0, "interpolation_method": "linear_interpolation"}', NULL, false, '2026-03-01 12:40:00+00'),
	(10, 'plant-b', 'waits', '1000', 1, 'active', false, '2026-03-01 09:30:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {}, "tag_list": ["a", "b"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["a", "b"], "interpolation_limit": 172800.0, "interpolation_method": "linear_interpolation"}', NULL, false, '2026-03-01 12:40:00+00'),
	(11, 'plant-b', 'whole', '1001', 2, 'active', false, '2026-03-01 09:30:00+00', '00:30:00', '00:05:00', '01:00:00', NULL, '{"assets": {}, "tag_list": ["a", "b"], "resolution": 600.0, "row_filter": "", "accepts_nan": false, "aggregation": "mean", "filter_tags": [], "model_offset": 0, "target_tag_list": ["a", "b"], "interpolation_limit": 172800.0, "interpolation_method": "linear_interpolation"}', NULL, false, '2026-03-01 12:40:00+00');


--
-- Data for Name: parked; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.parked VALUES
	(3, '1000', 'crashed', 'Traceback: ZeroDivisionError', '{["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")}', '2026-03-01 12:40:00+00', 'test'),
	(9, '1000', 'values_refused', 'predict: the model refuses infinity', '{["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")}', '2026-03-01 12:40:00+00', 'test');


--
-- Data for Name: planner; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.planner VALUES
	(true, 'scheduler.example/5/9f8e7d6c', 2, '2026-03-01 12:40:15+00');


--
-- Data for Name: prediction_20260301; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.prediction_20260301 VALUES
	(1, '2026-03-01 11:00:00+00', 1, '{0.328125,0.3359375,0.328125,0.3359375,0.328125,0.328125,0.3359375,0.328125,0.328125,0.3359375,0.328125}'),
	(1, '2026-03-01 11:10:00+00', 1, '{0.34375,0.3515625,0.34375,0.3515625,0.34375,0.34375,0.3515625,0.34375,0.34375,0.3515625,0.34375}'),
	(1, '2026-03-01 11:20:00+00', 1, '{0.359375,0.3671875,0.359375,0.3671875,0.359375,0.359375,0.3671875,0.359375,0.359375,0.3671875,0.359375}'),
	(1, '2026-03-01 11:30:00+00', 1, '{0.375,0.3828125,0.375,0.3828125,0.375,0.375,0.3828125,0.375,0.375,0.3828125,0.375}'),
	(1, '2026-03-01 11:40:00+00', 1, '{0.390625,0.3984375,0.390625,0.3984375,0.390625,0.390625,0.3984375,0.390625,0.390625,0.3984375,0.390625}'),
	(1, '2026-03-01 11:50:00+00', 1, '{0.40625,0.4140625,0.40625,0.4140625,0.40625,0.40625,0.4140625,0.40625,0.40625,0.4140625,0.40625}'),
	(2, '2026-03-01 11:00:00+00', 2, '{0.328125,0.3359375}'),
	(2, '2026-03-01 11:10:00+00', 2, '{0.34375,0.3515625}'),
	(2, '2026-03-01 11:20:00+00', 2, '{0.359375,0.3671875}'),
	(2, '2026-03-01 11:30:00+00', 2, '{0.375,0.3828125}'),
	(2, '2026-03-01 11:40:00+00', 2, '{0.390625,0.3984375}'),
	(2, '2026-03-01 11:50:00+00', 2, '{0.40625,0.4140625}'),
	(2, '2026-03-01 10:00:00+00', 2, '{0.328125,0.3359375}'),
	(2, '2026-03-01 10:10:00+00', 2, '{0.34375,0.3515625}'),
	(2, '2026-03-01 10:20:00+00', 2, '{0.359375,0.3671875}'),
	(2, '2026-03-01 10:30:00+00', 2, '{0.375,0.3828125}'),
	(2, '2026-03-01 10:40:00+00', 2, '{0.390625,0.3984375}'),
	(2, '2026-03-01 10:50:00+00', 2, '{0.40625,0.4140625}'),
	(1, '2026-03-01 10:00:00+00', 1, '{0.328125,0.3359375,0.328125,0.3359375,0.328125,0.328125,0.3359375,0.328125,0.328125,0.3359375,0.328125}'),
	(1, '2026-03-01 10:10:00+00', 1, '{0.34375,0.3515625,0.34375,0.3515625,0.34375,0.34375,0.3515625,0.34375,0.34375,0.3515625,0.34375}'),
	(1, '2026-03-01 10:20:00+00', 1, '{0.359375,0.3671875,0.359375,0.3671875,0.359375,0.359375,0.3671875,0.359375,0.359375,0.3671875,0.359375}'),
	(1, '2026-03-01 10:30:00+00', 1, '{0.375,0.3828125,0.375,0.3828125,0.375,0.375,0.3828125,0.375,0.375,0.3828125,0.375}'),
	(1, '2026-03-01 10:40:00+00', 1, '{0.390625,0.3984375,0.390625,0.3984375,0.390625,0.390625,0.3984375,0.390625,0.390625,0.3984375,0.390625}'),
	(1, '2026-03-01 10:50:00+00', 1, '{0.40625,0.4140625,0.40625,0.4140625,0.40625,0.40625,0.4140625,0.40625,0.40625,0.4140625,0.40625}');


--
-- Data for Name: prediction_columns; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.prediction_columns OVERRIDING SYSTEM VALUE VALUES
	(1, 1, '1764547200000', '{model-output,model-output,tag-anomaly-scaled,tag-anomaly-scaled,total-anomaly-scaled,tag-anomaly-unscaled,tag-anomaly-unscaled,total-anomaly-unscaled,anomaly-confidence,anomaly-confidence,total-anomaly-confidence}', '{1903.PT-0000.PV,1903.TT-0000.PV,1903.PT-0000.PV,1903.TT-0000.PV,"",1903.PT-0000.PV,1903.TT-0000.PV,"",1903.PT-0000.PV,1903.TT-0000.PV,""}', '\x98aac3cd82272deb732eded9acba421d', '2026-03-02 00:00:00+00'),
	(2, 2, '1764547200000', '{model-output,model-output}', '{1903.PT-0001.PV,1903.TT-0001.PV}', '\x43b182d2d9a9a2fda29fd5bb35b4b7cc', '2026-03-02 00:00:00+00');


--
-- Data for Name: prediction_series; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.prediction_series OVERRIDING SYSTEM VALUE VALUES
	(1, 'plant-a', 'pump-001'),
	(2, 'plant-a', 'compressor-002');


--
-- Data for Name: project; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.project VALUES
	('plant-a', '1764547200000', 2, '2026-03-01 12:07:01.130839+00', '', NULL, 0, false),
	('plant-b', '1000', 9, '2026-03-01 12:40:00+00', '', NULL, 0, false),
	('plant-c', '', 0, NULL, 'gordo/plant-c: connection refused', NULL, 0, false);


--
-- Data for Name: queue_checkpoint; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: queue_ownership; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: queue_partition; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: queue_refused; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: request; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: roster; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.roster VALUES
	('plant-d', 'by-hand', true, '{"name": "by-hand", "project": "plant-d"}', 'operator@plant.example', '2026-03-01 12:40:00+00');


--
-- Data for Name: slot_exception; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.slot_exception VALUES
	(5, 'absent', 'no data: ''TAG-3''', 0, '2026-03-01 13:40:00+00', '{["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")}'),
	(5, 'short', 'no data in a part of it: ''TAG-1''', 0, '2026-03-01 13:40:00+00', '{["2026-03-01 10:30:00+00","2026-03-01 11:00:00+00")}');


--
-- Data for Name: task; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.task OVERRIDING SYSTEM VALUE VALUES
	(10, 7, 1, '["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")', 'live', 'published', false, '', 0, 0, 0, NULL, NULL, NULL, '{}', '', 'eventhub/plant.servicebus.windows.net/latigo#2', '2026-03-01 12:40:00+00', NULL, '2026-03-01 12:40:00+00'),
	(13, 11, 1, '["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")', 'live', 'published', false, '', 0, 0, 0, NULL, NULL, NULL, '{}', '', 'eventhub/plant.servicebus.windows.net/latigo#1', '2026-03-01 12:40:00+00', NULL, '2026-03-01 12:40:00+00'),
	(15, 8, 1, '["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")', 'live', 'planned', false, '', 0, 0, 0, NULL, NULL, NULL, '{}', '', '', '2026-03-01 12:40:00+00', NULL, NULL),
	(12, 10, 1, '["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")', 'live', 'waiting', false, '', 1, 0, 1, NULL, NULL, '2026-03-01 12:40:27.711506+00', '{sink/postgres}', 'predict: 500 from the model server', 'eventhub/plant.servicebus.windows.net/latigo#0', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00'),
	(9, 6, 1, '["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")', 'live', 'claimed', false, '', 0, 1, 1, 'executor.example/7/0a1b2c3d', '2026-03-01 12:40:30+00', NULL, '{}', '', 'eventhub/plant.servicebus.windows.net/latigo#1', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00');


--
-- Data for Name: task_history_20260228; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: task_history_20260301; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.task_history_20260301 VALUES
	(3, 2, '1764547200000', 1, '["2026-03-01 11:00:00+00","2026-03-01 12:00:00+00")', 'live', 'stored', '', '', 0, 1, 6, '01:00:00', 'host.example/30730/99e21234', '2026-03-01 12:07:01.448817+00', '2026-03-01 12:07:01.515105+00', '2026-03-01 12:07:01.926675+00'),
	(1, 1, '1764547200000', 1, '["2026-03-01 11:00:00+00","2026-03-01 12:00:00+00")', 'live', 'stored', '', '', 0, 1, 6, '01:00:00', 'host.example/30730/99e21234', '2026-03-01 12:07:01.448445+00', '2026-03-01 12:07:01.511699+00', '2026-03-01 12:07:01.943092+00'),
	(2, 1, '1764547200000', 1, '["2026-03-01 10:00:00+00","2026-03-01 11:00:00+00")', 'backfill', 'stored', '', '', 0, 1, 6, '01:00:00', 'host.example/30730/99e21234', '2026-03-01 12:07:01.448795+00', '2026-03-01 12:07:01.954532+00', '2026-03-01 12:07:02.007283+00'),
	(4, 2, '1764547200000', 1, '["2026-03-01 10:00:00+00","2026-03-01 11:00:00+00")', 'backfill', 'stored', '', '', 0, 1, 6, '01:00:00', 'host.example/30730/99e21234', '2026-03-01 12:07:01.44883+00', '2026-03-01 12:07:01.95085+00', '2026-03-01 12:07:02.022247+00'),
	(5, 3, '1000', 1, '["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")', 'live', 'crashed', 'crashed', 'Traceback: ZeroDivisionError', 0, 1, 0, '00:00:00', 'executor.example/7/0a1b2c3d', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00'),
	(6, 4, '1000', 1, '["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")', 'live', 'deferred', '', 'predict: connection refused', 0, 1, 0, '00:00:00', 'executor.example/7/0a1b2c3d', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00'),
	(7, 5, '1000', 1, '["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")', 'live', 'stored', '', '', 0, 1, 0, '00:00:00', 'executor.example/7/0a1b2c3d', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00'),
	(8, 5, '1000', 1, '["2026-03-01 10:30:00+00","2026-03-01 11:30:00+00")', 'backfill', 'stored', '', '', 0, 1, 3, '00:30:00', 'executor.example/7/0a1b2c3d', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00'),
	(11, 9, '1000', 1, '["2026-03-01 11:30:00+00","2026-03-01 12:30:00+00")', 'live', 'rejected', 'values_refused', 'predict: the model refuses infinity', 0, 1, 0, '00:00:00', 'executor.example/7/0a1b2c3d', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00'),
	(14, 11, '1000', 1, '["2026-03-01 10:30:00+00","2026-03-01 11:30:00+00")', 'backfill', 'stored', '', '', 0, 1, 6, '01:00:00', 'executor.example/7/0a1b2c3d', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00', '2026-03-01 12:40:00+00');


--
-- Data for Name: task_history_20260302; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: task_history_20260303; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: task_history_20261127; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: task_history_20261128; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: task_history_20261129; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: task_history_20261130; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Name: model_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.model_id_seq', 12, true);


--
-- Name: prediction_columns_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.prediction_columns_id_seq', 2, true);


--
-- Name: prediction_series_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.prediction_series_id_seq', 2, true);


--
-- Name: queue_refused_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.queue_refused_id_seq', 1, false);


--
-- Name: request_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.request_id_seq', 1, false);


--
-- Name: task_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.task_id_seq', 15, true);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: circuit circuit_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.circuit
    ADD CONSTRAINT circuit_pkey PRIMARY KEY (downstream);


--
-- Name: coverage coverage_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.coverage
    ADD CONSTRAINT coverage_pkey PRIMARY KEY (model_id);


--
-- Name: executor executor_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.executor
    ADD CONSTRAINT executor_pkey PRIMARY KEY (id);


--
-- Name: model model_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model
    ADD CONSTRAINT model_pkey PRIMARY KEY (id);


--
-- Name: model model_project_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model
    ADD CONSTRAINT model_project_name_key UNIQUE (project, name);


--
-- Name: parked parked_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.parked
    ADD CONSTRAINT parked_pkey PRIMARY KEY (model_id, revision, reason);


--
-- Name: planner planner_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.planner
    ADD CONSTRAINT planner_pkey PRIMARY KEY (one);


--
-- Name: prediction prediction_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.prediction
    ADD CONSTRAINT prediction_pkey PRIMARY KEY (series_id, "time");


--
-- Name: prediction_20260301 prediction_20260301_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.prediction_20260301
    ADD CONSTRAINT prediction_20260301_pkey PRIMARY KEY (series_id, "time");


--
-- Name: prediction_columns prediction_columns_digest_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.prediction_columns
    ADD CONSTRAINT prediction_columns_digest_key UNIQUE (digest);


--
-- Name: prediction_columns prediction_columns_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.prediction_columns
    ADD CONSTRAINT prediction_columns_pkey PRIMARY KEY (id);


--
-- Name: prediction_series prediction_series_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.prediction_series
    ADD CONSTRAINT prediction_series_pkey PRIMARY KEY (id);


--
-- Name: prediction_series prediction_series_project_model_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.prediction_series
    ADD CONSTRAINT prediction_series_project_model_key UNIQUE (project, model);


--
-- Name: project project_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.project
    ADD CONSTRAINT project_pkey PRIMARY KEY (name);


--
-- Name: queue_checkpoint queue_checkpoint_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.queue_checkpoint
    ADD CONSTRAINT queue_checkpoint_pkey PRIMARY KEY (channel, consumer_group, partition);


--
-- Name: queue_ownership queue_ownership_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.queue_ownership
    ADD CONSTRAINT queue_ownership_pkey PRIMARY KEY (channel, consumer_group, partition);


--
-- Name: queue_partition queue_partition_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.queue_partition
    ADD CONSTRAINT queue_partition_pkey PRIMARY KEY (channel, consumer_group, partition);


--
-- Name: queue_refused queue_refused_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.queue_refused
    ADD CONSTRAINT queue_refused_pkey PRIMARY KEY (id);


--
-- Name: request request_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.request
    ADD CONSTRAINT request_pkey PRIMARY KEY (id);


--
-- Name: roster roster_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.roster
    ADD CONSTRAINT roster_pkey PRIMARY KEY (project, name);


--
-- Name: slot_exception slot_exception_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.slot_exception
    ADD CONSTRAINT slot_exception_pkey PRIMARY KEY (model_id, next_look, state, looks, reason);


--
-- Name: task task_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task
    ADD CONSTRAINT task_pkey PRIMARY KEY (id);


--
-- Name: model_stale_metadata; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX model_stale_metadata ON public.model USING btree (id) WHERE stale_metadata;


--
-- Name: prediction_columns_series; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX prediction_columns_series ON public.prediction_columns USING btree (series_id);


--
-- Name: queue_refused_received; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX queue_refused_received ON public.queue_refused USING btree (channel, partition, sequence) WHERE (sequence IS NOT NULL);


--
-- Name: queue_refused_unsent; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX queue_refused_unsent ON public.queue_refused USING btree (channel, task_id) WHERE (sequence IS NULL);


--
-- Name: task_history_model; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_model ON ONLY public.task_history USING btree (model_id, settled_at);


--
-- Name: task_history_20260228_model_id_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20260228_model_id_settled_at_idx ON public.task_history_20260228 USING btree (model_id, settled_at);


--
-- Name: task_history_settled; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_settled ON ONLY public.task_history USING btree (settled_at);


--
-- Name: task_history_20260228_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20260228_settled_at_idx ON public.task_history_20260228 USING btree (settled_at);


--
-- Name: task_history_20260301_model_id_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20260301_model_id_settled_at_idx ON public.task_history_20260301 USING btree (model_id, settled_at);


--
-- Name: task_history_20260301_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20260301_settled_at_idx ON public.task_history_20260301 USING btree (settled_at);


--
-- Name: task_history_20260302_model_id_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20260302_model_id_settled_at_idx ON public.task_history_20260302 USING btree (model_id, settled_at);


--
-- Name: task_history_20260302_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20260302_settled_at_idx ON public.task_history_20260302 USING btree (settled_at);


--
-- Name: task_history_20260303_model_id_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20260303_model_id_settled_at_idx ON public.task_history_20260303 USING btree (model_id, settled_at);


--
-- Name: task_history_20260303_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20260303_settled_at_idx ON public.task_history_20260303 USING btree (settled_at);


--
-- Name: task_history_20261127_model_id_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20261127_model_id_settled_at_idx ON public.task_history_20261127 USING btree (model_id, settled_at);


--
-- Name: task_history_20261127_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20261127_settled_at_idx ON public.task_history_20261127 USING btree (settled_at);


--
-- Name: task_history_20261128_model_id_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20261128_model_id_settled_at_idx ON public.task_history_20261128 USING btree (model_id, settled_at);


--
-- Name: task_history_20261128_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20261128_settled_at_idx ON public.task_history_20261128 USING btree (settled_at);


--
-- Name: task_history_20261129_model_id_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20261129_model_id_settled_at_idx ON public.task_history_20261129 USING btree (model_id, settled_at);


--
-- Name: task_history_20261129_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20261129_settled_at_idx ON public.task_history_20261129 USING btree (settled_at);


--
-- Name: task_history_20261130_model_id_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20261130_model_id_settled_at_idx ON public.task_history_20261130 USING btree (model_id, settled_at);


--
-- Name: task_history_20261130_settled_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_history_20261130_settled_at_idx ON public.task_history_20261130 USING btree (settled_at);


--
-- Name: task_model; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX task_model ON public.task USING btree (model_id);


--
-- Name: task_one_per_lane; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX task_one_per_lane ON public.task USING btree (model_id, ((lane = 'live'::text))) WHERE (state <> 'waiting'::text);


--
-- Name: prediction_20260301_pkey; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.prediction_pkey ATTACH PARTITION public.prediction_20260301_pkey;


--
-- Name: task_history_20260228_model_id_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_model ATTACH PARTITION public.task_history_20260228_model_id_settled_at_idx;


--
-- Name: task_history_20260228_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_settled ATTACH PARTITION public.task_history_20260228_settled_at_idx;


--
-- Name: task_history_20260301_model_id_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_model ATTACH PARTITION public.task_history_20260301_model_id_settled_at_idx;


--
-- Name: task_history_20260301_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_settled ATTACH PARTITION public.task_history_20260301_settled_at_idx;


--
-- Name: task_history_20260302_model_id_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_model ATTACH PARTITION public.task_history_20260302_model_id_settled_at_idx;


--
-- Name: task_history_20260302_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_settled ATTACH PARTITION public.task_history_20260302_settled_at_idx;


--
-- Name: task_history_20260303_model_id_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_model ATTACH PARTITION public.task_history_20260303_model_id_settled_at_idx;


--
-- Name: task_history_20260303_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_settled ATTACH PARTITION public.task_history_20260303_settled_at_idx;


--
-- Name: task_history_20261127_model_id_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_model ATTACH PARTITION public.task_history_20261127_model_id_settled_at_idx;


--
-- Name: task_history_20261127_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_settled ATTACH PARTITION public.task_history_20261127_settled_at_idx;


--
-- Name: task_history_20261128_model_id_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_model ATTACH PARTITION public.task_history_20261128_model_id_settled_at_idx;


--
-- Name: task_history_20261128_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_settled ATTACH PARTITION public.task_history_20261128_settled_at_idx;


--
-- Name: task_history_20261129_model_id_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_model ATTACH PARTITION public.task_history_20261129_model_id_settled_at_idx;


--
-- Name: task_history_20261129_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_settled ATTACH PARTITION public.task_history_20261129_settled_at_idx;


--
-- Name: task_history_20261130_model_id_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_model ATTACH PARTITION public.task_history_20261130_model_id_settled_at_idx;


--
-- Name: task_history_20261130_settled_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.task_history_settled ATTACH PARTITION public.task_history_20261130_settled_at_idx;


--
-- Name: coverage coverage_model_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.coverage
    ADD CONSTRAINT coverage_model_id_fkey FOREIGN KEY (model_id) REFERENCES public.model(id) ON DELETE CASCADE;


--
-- Name: parked parked_model_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.parked
    ADD CONSTRAINT parked_model_id_fkey FOREIGN KEY (model_id) REFERENCES public.model(id) ON DELETE CASCADE;


--
-- Name: prediction_columns prediction_columns_series_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.prediction_columns
    ADD CONSTRAINT prediction_columns_series_id_fkey FOREIGN KEY (series_id) REFERENCES public.prediction_series(id) ON DELETE CASCADE;


--
-- Name: slot_exception slot_exception_model_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.slot_exception
    ADD CONSTRAINT slot_exception_model_id_fkey FOREIGN KEY (model_id) REFERENCES public.model(id) ON DELETE CASCADE;


--
-- Name: task task_model_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task
    ADD CONSTRAINT task_model_id_fkey FOREIGN KEY (model_id) REFERENCES public.model(id) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--


