-- Everything that has ever made a dump or a restore of PostgreSQL go wrong, in one database.
-- Run it in a new database of UTF8 encoding as a superuser. It makes roles, once per server.
DO $$ BEGIN
  CREATE ROLE "Role with ""quotes"" and spaces" NOLOGIN;
  CREATE ROLE "Ünïcode rôle" LOGIN PASSWORD 'difficult-secret' CONNECTION LIMIT 7;
  CREATE ROLE reader NOLOGIN;
  GRANT reader TO "Ünïcode rôle";
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

CREATE SCHEMA "Schema with ""quotes""";
CREATE SCHEMA "ünïcode 数据";
COMMENT ON SCHEMA "ünïcode 数据" IS 'Ein Kommentar mit '' und "';

CREATE TABLE "Schema with ""quotes"""."Table With Spaces" (
  "Primary Key" integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "select" text NOT NULL,
  "naïve; DROP TABLE x" text COLLATE "C",
  twice integer GENERATED ALWAYS AS (length("select") * 2) STORED
);
INSERT INTO "Schema with ""quotes"""."Table With Spaces" ("select", "naïve; DROP TABLE x")
  SELECT 'row ' || i, E'tab\tnewline\nbackslash\\ \\. ' || i FROM generate_series(1, 500) i;
COMMENT ON TABLE "Schema with ""quotes"""."Table With Spaces" IS E'two\nlines';
COMMENT ON COLUMN "Schema with ""quotes"""."Table With Spaces"."select" IS 'reserved';
ALTER TABLE "Schema with ""quotes"""."Table With Spaces" OWNER TO "Role with ""quotes"" and spaces";
GRANT USAGE ON SCHEMA "Schema with ""quotes""" TO reader;
GRANT SELECT, INSERT ON "Schema with ""quotes"""."Table With Spaces" TO reader WITH GRANT OPTION;
GRANT UPDATE ("select") ON "Schema with ""quotes"""."Table With Spaces" TO "Ünïcode rôle";
ALTER DEFAULT PRIVILEGES IN SCHEMA "ünïcode 数据" GRANT SELECT ON TABLES TO reader;

-- Values whose text depends on settings.
CREATE TABLE "ünïcode 数据".values (
  id bigint PRIMARY KEY, f8 double precision, f4 real, n numeric, at timestamptz, span interval, day date,
  bytes bytea, doc jsonb, list text[], range int4range, money money, net inet, bits bit varying, flag boolean,
  nothing text, uid uuid, kind regclass
);
INSERT INTO "ünïcode 数据".values
  SELECT i, i / 3.0::float8, i / 7.0::float4, i * 1.10, timestamptz '2026-03-29 00:30:00+00' + i * interval '1 hour',
         i * interval '1 month 2 days 03:04:05.6', date '4713-01-01 BC' + i, decode(md5(i::text), 'hex'),
         jsonb_build_object('ключ', i, 'null', NULL), ARRAY['a,b', '"', NULL, i::text], int4range(i, i + 5),
         (i * 1.5)::numeric::money, '10.0.0.1'::inet + i, i::bit(8)::bit varying, i % 2 = 0, NULL,
         md5(i::text)::uuid, 'pg_class'
    FROM generate_series(1, 300) i;
INSERT INTO "ünïcode 数据".values (id, f8, f4, n) VALUES (-1, 'NaN', 'Infinity', 'NaN'), (-2, '-0', '-Infinity', 1e-100);

-- Partitions, of two levels, with a default one, and a dropped column so that their layouts differ.
CREATE TABLE measurements (dropped text, at date NOT NULL, region text NOT NULL, value numeric) PARTITION BY RANGE (at);
ALTER TABLE measurements DROP COLUMN dropped;
CREATE TABLE measurements_2025 PARTITION OF measurements FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE measurements_2026 PARTITION OF measurements FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
  PARTITION BY LIST (region);
CREATE TABLE "measurements 2026 north" PARTITION OF measurements_2026 FOR VALUES IN ('north');
CREATE TABLE measurements_2026_rest PARTITION OF measurements_2026 DEFAULT;
CREATE TABLE attached (region text NOT NULL, value numeric, at date NOT NULL);
ALTER TABLE measurements ATTACH PARTITION attached FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE INDEX ON measurements (region, at);
INSERT INTO measurements SELECT date '2024-06-01' + i, CASE i % 3 WHEN 0 THEN 'north' ELSE 'south' END, i
  FROM generate_series(0, 900) i;

-- Old-fashioned inheritance: a child's columns come in another order.
CREATE TABLE parent (id integer, note text);
CREATE TABLE child (extra text) INHERITS (parent);
ALTER TABLE parent ADD COLUMN added integer DEFAULT 3;
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO child VALUES (2, 'child', 'extra', 9);

-- Foreign keys in a circle, a deferred one, and one to itself.
CREATE TABLE hen (id integer PRIMARY KEY, egg_id integer NOT NULL);
CREATE TABLE egg (id integer PRIMARY KEY, hen_id integer NOT NULL REFERENCES hen DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE hen ADD CONSTRAINT laid FOREIGN KEY (egg_id) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE hen ADD COLUMN mother integer REFERENCES hen;
BEGIN;
INSERT INTO hen SELECT i, i, nullif(i - 1, 0) FROM generate_series(1, 50) i;
INSERT INTO egg SELECT i, i FROM generate_series(1, 50) i;
COMMIT;

-- Row-level security, forced even upon the owner.
CREATE TABLE tenants (tenant text, secret text);
INSERT INTO tenants SELECT 'tenant ' || i % 5, md5(i::text) FROM generate_series(1, 100) i;
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON tenants USING (tenant = current_setting('app.tenant', true));
GRANT SELECT ON tenants TO reader;

-- A materialised view over a materialised view, and one that was never filled.
CREATE MATERIALIZED VIEW per_region AS SELECT region, count(*) AS rows, sum(value) AS total FROM measurements GROUP BY 1;
CREATE UNIQUE INDEX ON per_region (region);
CREATE MATERIALIZED VIEW "Whole" AS SELECT sum(total) AS total FROM per_region;
CREATE MATERIALIZED VIEW empty_view AS SELECT 1 AS one WITH NO DATA;

-- Functions, triggers (row, event), a rule, a view, types, a domain, an operator class's worth of quoting.
CREATE TYPE mood AS ENUM ('glücklich', 'so "so"', 'sad''');
CREATE DOMAIN percent AS numeric CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE pair AS (left_side mood, right_side percent);
CREATE TABLE moods (id serial PRIMARY KEY, mood mood DEFAULT 'glücklich', share percent, pair pair);
INSERT INTO moods (mood, share, pair) VALUES ('so "so"', 50, ROW('sad''', 1)), (DEFAULT, 0, NULL);
CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN RAISE EXCEPTION 'not while restoring: $tricky$ %', TG_NAME; END $body$;
CREATE TRIGGER "No Deletes" BEFORE DELETE ON moods FOR EACH ROW EXECUTE FUNCTION forbid();
CREATE TABLE audited (id integer);
CREATE TRIGGER no_inserts BEFORE INSERT ON audited FOR EACH ROW EXECUTE FUNCTION forbid();
ALTER TABLE audited DISABLE TRIGGER no_inserts;
INSERT INTO audited VALUES (1);
ALTER TABLE audited ENABLE ALWAYS TRIGGER no_inserts;
CREATE VIEW safe_tenants WITH (security_barrier) AS SELECT tenant FROM tenants;
CREATE RULE no_update AS ON UPDATE TO audited DO INSTEAD NOTHING;
CREATE FUNCTION note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE EVENT TRIGGER "Note DDL" ON ddl_command_end EXECUTE FUNCTION note_ddl();

-- Sequences that ran, never ran, run backwards.
CREATE SEQUENCE "Never Used" START 42;
CREATE SEQUENCE backwards INCREMENT -3 MAXVALUE 0 MINVALUE -1000 CYCLE;
SELECT nextval('backwards'), nextval('backwards');
SELECT setval('moods_id_seq', 1000);

-- Nothing in them: no columns, no rows, never logged.
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE no_rows (id integer);
CREATE UNLOGGED TABLE unlogged (id integer);
INSERT INTO unlogged VALUES (1), (2);

-- Large objects: a plain one, a sparse one, an empty one, one with a comment, an owner and rights.
SELECT lo_from_bytea(900001, decode(repeat('00ff5c', 3000), 'hex'));
SELECT lo_create(900002);
SELECT lo_put(900002, 100000, 'after a hole');
SELECT lo_create(900003);
COMMENT ON LARGE OBJECT 900001 IS 'large';
ALTER LARGE OBJECT 900001 OWNER TO "Ünïcode rôle";
GRANT SELECT ON LARGE OBJECT 900001 TO reader;

CREATE PUBLICATION "All of it" FOR ALL TABLES;
CREATE PUBLICATION some_of_it FOR TABLE hen, egg WITH (publish = 'insert');

CREATE STATISTICS correlated (dependencies) ON id, added FROM parent;

-- What belongs to the database and not to its content.
DO $$
DECLARE name text := current_database();
BEGIN
  EXECUTE format('COMMENT ON DATABASE %I IS %L', name, 'a "difficult" database''s comment');
  EXECUTE format('ALTER DATABASE %I SET search_path = "ünïcode 数据", public', name);
  EXECUTE format('ALTER DATABASE %I SET DateStyle = ''German, DMY''', name);
  EXECUTE format('ALTER DATABASE %I SET "app.jwt_secret" = ''difficult-secret''', name);
  EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''3ms''', name);
  EXECUTE format('ALTER ROLE "Ünïcode rôle" IN DATABASE %I SET work_mem = ''5MB''', name);
  EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 33', name);
  EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', name);
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO reader', name);
  EXECUTE format('ALTER DATABASE %I OWNER TO "Role with ""quotes"" and spaces"', name);
END $$;
