package real

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/ops/stack/engine"
	"cdds/ops/stack/stacktest"
	"cdds/pipeline/ledger"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// zooKeeperLibs names the directory with the jars of ZooKeeper.
const zooKeeperLibs = "CDDS_REAL_ZOOKEEPER_LIBS"

// replicatedEngine makes this test binary the ClickHouse of TestReplicatedTables...: its
// value is the engine's options.
const replicatedEngine = "CDDS_REAL_REPLICATED_ENGINE"

func runReplicatedEngine(options string) error {
	var o engine.Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return err
	}
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	return engine.Run(context.Background(), o)
}

// Names of the cluster and of the database that has its tables.
const house, database = "house", "cdds"

// TestReplicatedTablesTakeEveryStatement has the warehouse and the ledger do all they can
// on the embedded engine, as on a cluster, and then sends each statement to replicated
// tables. Those of the embedded engine are read-only for ever, as it cannot serve other
// replicas; but ClickHouse looks at a statement before it finds that out.
func TestReplicatedTablesTakeEveryStatement(t *testing.T) {
	address := startReplicated(t)
	made, replicated := openReplicated(t, address, "made"), openReplicated(t, address, database)
	single := stacktest.ClickHouse(t)
	check(t, tables.New(single).Create(t.Context(), warehouse.Schema(), ledger.Schema()))
	for _, schema := range []tables.Schema{warehouse.Schema(), ledger.Schema()} {
		for _, s := range schema.OnCluster(house, "made") {
			if strings.Contains("\n"+s.SQL, "\nCREATE") {
				refused(t, s.Name, made.Exec(t.Context(), onOne(s.SQL)))
			}
		}
		for _, table := range schema.Tables() {
			check(t, replicated.Exec(t.Context(), finished(t, single, table)))
			check(t, replicated.Exec(t.Context(), fmt.Sprintf("CREATE TABLE %[1]s AS %[1]s_local ENGINE = Distributed('%s', '%s', '%[1]s_local')", table, house, database)))
		}
		for _, s := range schema.OnCluster(house, database) { // the ALTERs, on tables that have everything
			refused(t, s.Name, replicated.Exec(t.Context(), onOne(s.SQL)))
		}
	}
	log := &statements{Conn: single}
	db := tables.New(log).OnCluster(house)
	w, l := warehouse.New(db), ledger.New(db)
	for range 2 { // the second time there are rows
		callAll(t, w, l)
		callAll(t, l, l)
	}
	_, err := db.Missing(t.Context(), warehouse.Schema(), ledger.Schema())
	check(t, err)
	_, err = db.Version(t.Context())
	check(t, err)
	for _, s := range log.all {
		refused(t, s.sql, s.send(replicated))
	}
	t.Log(len(log.all), "statements")
}

// finished makes a table as replicated one, with all that ALTERs add: a table that is
// read-only takes none.
func finished(t *testing.T, single driver.Conn, table string) string {
	t.Helper()
	var sql string
	check(t, single.QueryRow(t.Context(), "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = '"+table+"'").Scan(&sql))
	sql = regexp.MustCompile(`^CREATE TABLE \S+`).ReplaceAllString(sql, "CREATE TABLE "+table+"_local")
	return regexp.MustCompile(`ENGINE = (\w+)(\((\w+)\))?`).ReplaceAllStringFunc(sql, func(engine string) string {
		m := regexp.MustCompile(`= (\w+)(?:\((\w+)\))?`).FindStringSubmatch(engine)
		version := ""
		if m[2] != "" {
			version = ", " + m[2]
		}
		return fmt.Sprintf("ENGINE = Replicated%s('/clickhouse/tables/{shard}/%s', '{replica}'%s)", m[1], table, version)
	})
}

// refused reports an error unless it says that the replica is not at work, which is the
// last thing that ClickHouse finds out about a statement.
func refused(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var answer *clickhouse.Exception
	if errors.As(err, &answer) {
		for code, words := range map[int32]string{
			242: "", // TABLE_IS_READ_ONLY
			236: "shutdown called",
			999: "/replicas/1/is_active", // an insert with a quorum looks for it first
		} {
			if answer.Code == code && strings.Contains(answer.Message, words) {
				return
			}
		}
	}
	t.Errorf("%s\nis refused: %v", what, err)
}

var onHouse = regexp.MustCompile(`(\w+_local|\w+) ON CLUSTER '` + house + `'`)

// onOne is a statement on one server of a cluster: the embedded engine has none to hand
// it on to.
func onOne(sql string) string { return onHouse.ReplaceAllString(sql, "$1") }

// statements passes statements on to one server, and keeps those that are new.
type statements struct {
	driver.Conn
	all []statement
}

type statement struct {
	sql  string
	send func(driver.Conn) error
}

func (s *statements) keep(sql string, send func(driver.Conn) error) string {
	if !slices.ContainsFunc(s.all, func(o statement) bool { return o.sql == sql }) {
		s.all = append(s.all, statement{sql, send})
	}
	return strings.ReplaceAll(onOne(sql), "_local", "")
}

func (s *statements) Query(ctx context.Context, sql string, args ...any) (driver.Rows, error) {
	again := context.WithoutCancel(ctx)
	return s.Conn.Query(ctx, s.keep(sql, func(c driver.Conn) error {
		rows, err := c.Query(again, sql, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return errors.Join(rows.Err(), rows.Close())
	}), args...)
}

func (s *statements) QueryRow(ctx context.Context, sql string, args ...any) driver.Row {
	again := context.WithoutCancel(ctx)
	return s.Conn.QueryRow(ctx, s.keep(sql, func(c driver.Conn) error { return c.QueryRow(again, sql, args...).Err() }), args...)
}

func (s *statements) QueryFormat(ctx context.Context, format, sql string, args ...any) (io.ReadCloser, error) {
	again := context.WithoutCancel(ctx)
	return s.Conn.QueryFormat(ctx, format, s.keep(sql, func(c driver.Conn) error {
		r, err := c.QueryFormat(again, format, sql, args...)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		return errors.Join(err, r.Close())
	}), args...)
}

func (s *statements) Exec(ctx context.Context, sql string, args ...any) error {
	again := context.WithoutCancel(ctx)
	return s.Conn.Exec(ctx, s.keep(sql, func(c driver.Conn) error { return c.Exec(again, onOne(sql), args...) }), args...)
}

// PrepareBatch is sent again as an insert of the table's own rows, and so is InsertFormat.
func (s *statements) PrepareBatch(ctx context.Context, sql string, opts ...driver.PrepareBatchOption) (driver.Batch, error) {
	return s.Conn.PrepareBatch(ctx, s.keep(sql, ofItsOwn(ctx, sql)), opts...)
}

func (s *statements) InsertFormat(ctx context.Context, format, sql string, data io.Reader) error {
	return s.Conn.InsertFormat(ctx, format, s.keep(sql, ofItsOwn(ctx, sql)), data)
}

func ofItsOwn(ctx context.Context, sql string) func(driver.Conn) error {
	again := context.WithoutCancel(ctx)
	m := regexp.MustCompile(`^INSERT INTO (\w+) \((.*)\)$`).FindStringSubmatch(sql)
	return func(c driver.Conn) error { return c.Exec(again, sql+" SELECT "+m[2]+" FROM "+m[1]) }
}

// callAll calls every exported method of v, those first that store something.
func callAll(t *testing.T, v any, record *ledger.Ledger) {
	t.Helper()
	value := reflect.ValueOf(v)
	var methods []string
	for i := range value.NumMethod() {
		methods = append(methods, value.Type().Method(i).Name)
	}
	stores := regexp.MustCompile(`^(Insert|Record|Save|Keep)`)
	slices.SortStableFunc(methods, func(a, b string) int {
		return boolCompare(stores.MatchString(b), stores.MatchString(a))
	})
	for _, name := range methods {
		method := value.MethodByName(name)
		call := method.Call
		if method.Type().IsVariadic() {
			call = method.CallSlice
		}
		for n, more := 0, true; more; n++ {
			more = false
			args := make([]reflect.Value, method.Type().NumIn())
			for i := range args {
				all := samplesOf(t, method.Type().In(i), record)
				args[i] = all[min(n, len(all)-1)]
				more = more || n+1 < len(all)
			}
			results := call(args)
			if err, _ := results[len(results)-1].Interface().(error); err != nil {
				t.Errorf("%T.%s: %v", v, name, err)
			}
			if r, ok := results[0].Interface().(io.Closer); ok && !results[0].IsNil() {
				check(t, r.Close())
			}
		}
	}
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// tenant is an entity's name, too: whatever text a method takes, it knows this one.
const tenant = schemas.EntityInteraction

var (
	now      = schemas.TimeOf(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))
	snapshot = schemas.Snapshot{1000, 1000}
	filter   = schemas.Filter{
		TenantID: tenant, Entity: schemas.EntityInteraction, From: schemas.TimeOf(now.AddDate(0, -1, 0)), To: schemas.TimeOf(now.AddDate(0, 1, 0)),
		MediaTypes: []string{"chat"}, Match: schemas.Match{Attributes: map[string]string{"a": "b"}},
	}
	erasure = schemas.Erasure{
		Interactions: snapshot, Contacts: snapshot, State: schemas.ErasureDone,
		Request: schemas.ErasureRequest{TenantID: tenant, ErasureID: "x", ContactID: "eve"},
	}
	subject = &schemas.ErasedSubject{Request: erasure.Request, Kind: schemas.ErasedContact, SubjectID: "eve", Interactions: snapshot, Contacts: snapshot}
	gone    = warehouse.Erased{Subject: warehouse.Subject{TenantID: tenant, Kind: schemas.ErasedContact, ID: "eve"}, ErasureID: erasure.Request.ErasureID}
)

// samples are arguments by their types; of a type that has several, all are tried. A
// method with an argument of another type fails the test until there is one.
var samples = []any{
	tenant, 10, int64(10), true, erasure.Request, now.Time, now, []string{tenant}, erasure, []schemas.Erasure{erasure},
	schemas.TopicInteractions, schemas.Completed, []schemas.State{schemas.Completed},
	[]schemas.ErasureRequest{erasure.Request}, schemas.RowKey{Time: filter.From}, &schemas.RowKey{Time: filter.To},
	[]schemas.Run{{Partition: 0, First: 0, Next: 10}}, []schemas.Void{{Topic: schemas.TopicInteractions, First: 5, Next: 6}},
	[]schemas.DeadLetter{{Topic: schemas.TopicInteractions, Offset: 3, Next: 4, Code: "x"}},
	schemas.Lineage{{Topic: schemas.TopicInteractions}}, []schemas.Export{{}},
	[]schemas.Batch[*schemas.Interaction]{{Topic: schemas.TopicInteractions, Records: []schemas.Record[*schemas.Interaction]{
		{Offset: 1, Time: now, Event: &schemas.Interaction{TenantID: tenant, InteractionID: "1", StartedAt: now, ContactID: "eve", MediaType: "chat"}},
		{Offset: 2, Time: now, Event: &schemas.Interaction{TenantID: tenant, InteractionID: "1", StartedAt: now, MediaType: "chat"}}, // does not name her
	}}},
	[]schemas.Batch[*schemas.Contact]{{Topic: schemas.TopicContacts, Records: []schemas.Record[*schemas.Contact]{
		{Offset: 1, Time: now, Event: &schemas.Contact{TenantID: tenant, ContactID: "eve", CreatedAt: now}},
	}}},
	warehouse.Query{Filter: filter, Snapshot: snapshot},
	warehouse.Query{Filter: filter, Snapshot: snapshot, Scattered: true},
	warehouse.Query{Filter: filter, Snapshot: snapshot, Before: &warehouse.Before{Filter: filter, Snapshot: snapshot}},
	warehouse.Query{Filter: filter, Snapshot: snapshot, Before: &warehouse.Before{Filter: filter, Snapshot: snapshot, ErasedFrom: filter.From.Time, ErasedTo: filter.To.Time}},
	[]*schemas.ErasedSubject{subject}, []warehouse.Subject{gone.Subject}, []warehouse.Erased{gone},
	[]warehouse.ErasedRow{{Topic: schemas.TopicInteractions, Offset: 1, TenantID: tenant, ErasureID: gone.ErasureID, Time: now.Time}},
	ledger.ExportFilter{TenantID: tenant, States: []string{"completed"}, Entity: tenant, JobID: "j", Text: "t", From: filter.From, To: filter.To},
	ledger.ArtifactFilter{TenantID: tenant, ExportID: "e", Kind: "part", Present: true},
	ledger.AuditFilter{TenantID: tenant, Subject: "s", Actor: "a", Action: "export", Outcomes: []string{"ok"}, From: filter.From, To: filter.To},
	ledger.DeliveryFilter{TenantID: tenant, JobID: "j", ExportID: "e", Outcomes: []string{"ok"}},
	ledger.Page{Limit: 10},
}

// samplesOf are those of a type.
func samplesOf(t *testing.T, of reflect.Type, record *ledger.Ledger) (all []reflect.Value) {
	t.Helper()
	for _, s := range samples {
		if reflect.TypeOf(s) == of {
			all = append(all, reflect.ValueOf(s))
		}
	}
	switch {
	case len(all) > 0:
	case of == reflect.TypeFor[context.Context]():
		all = append(all, reflect.ValueOf(t.Context()))
	case of == reflect.TypeFor[warehouse.ErasureRecord]():
		all = append(all, reflect.ValueOf(record))
	case of.Kind() == reflect.Func: // for each row
		all = append(all, reflect.MakeFunc(of, func([]reflect.Value) (results []reflect.Value) {
			for out := range of.Outs() {
				results = append(results, reflect.Zero(out))
			}
			return results
		}))
	case strings.HasPrefix(of.String(), "schemas.Batch["): // of an event with nothing in it
		batch := reflect.New(of).Elem()
		records := batch.FieldByName("Records")
		one := reflect.New(records.Type().Elem()).Elem()
		one.FieldByName("Event").Set(reflect.New(one.FieldByName("Event").Type().Elem()))
		records.Set(reflect.Append(records, one))
		all = append(all, batch)
	default:
		t.Fatalf("there is no sample of a %v", of)
	}
	return all
}

// startReplicated starts ZooKeeper and an engine whose replicated tables register there.
func startReplicated(t *testing.T) (address string) {
	t.Helper()
	libs := os.Getenv(zooKeeperLibs)
	if libs == "" {
		t.Skip("there is no ZooKeeper: `make test-real` fetches it where Java 17 and Maven Central are")
	}
	library, err := engine.Library(t.Context(), func(string) {})
	if errors.Is(err, engine.ErrNoLibrary) {
		t.Skip(err)
	}
	check(t, err)
	dir, keeper, port := t.TempDir(), freePort(t), freePort(t)
	address = fmt.Sprintf("127.0.0.1:%d", port)
	zoo := filepath.Join(dir, "zoo.cfg")
	check(t, os.WriteFile(zoo, fmt.Appendf(nil, "dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n", filepath.Join(dir, "zookeeper"), keeper), 0o600))
	start(t, "zookeeper", []string{"java", "-Xmx128m", "-cp", filepath.Join(libs, "*"), "org.apache.zookeeper.server.quorum.QuorumPeerMain", zoo})
	await(t, keeper, "srvr", "Zookeeper version")
	config := filepath.Join(dir, "engine.xml")
	check(t, os.WriteFile(config, fmt.Appendf(nil, `<clickhouse>
  <zookeeper><node><host>127.0.0.1</host><port>%d</port></node></zookeeper>
  <tcp_port>9000</tcp_port>
  <macros><shard>1</shard><replica>1</replica></macros>
  <remote_servers><%[2]s><shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>9000</port></replica></shard></%[2]s></remote_servers>
</clickhouse>`, keeper, house), 0o600))
	options, err := json.Marshal(engine.Options{
		Library: library, Dir: filepath.Join(dir, "engine"), Addr: address, Memory: 1 << 30,
		Username: "cdds", Password: "secret", Database: database, ConfigFile: config,
	})
	check(t, err)
	start(t, "engine", []string{os.Args[0]}, replicatedEngine+"="+string(options))
	await(t, port, "", "")
	check(t, openReplicated(t, address, database).Exec(t.Context(), "CREATE DATABASE made"))
	return address
}

// openReplicated connects to a database of the engine, with the settings of a cluster.
func openReplicated(t *testing.T, address, database string) driver.Conn {
	t.Helper()
	settings := tables.ClusterSettings()
	settings["insert_keeper_max_retries"] = 0 // read-only is for ever
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{address}, Settings: settings,
		Auth: clickhouse.Auth{Database: database, Username: "cdds", Password: "secret"},
	})
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// await waits until what listens on a port answers a word as it does once it serves; an
// empty word needs no answer.
func await(t *testing.T, port int, word, answer string) {
	t.Helper()
	for ends := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			var said []byte
			_ = c.SetDeadline(time.Now().Add(time.Second))
			if _, err = c.Write([]byte(word)); err == nil && word != "" {
				said, err = io.ReadAll(c)
			}
			c.Close()
			if err == nil && strings.HasPrefix(string(said), answer) {
				return
			}
		}
		if time.Now().After(ends) {
			t.Fatalf("nothing serves at port %d: %v", port, err)
		}
	}
}
