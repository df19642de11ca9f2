// Command direct is a peer of the benchmark: the pipeline as a hand would write it in Go, on franz-go.
//
//	direct a  Graph -> Kafka
//	direct b  Kafka -> dedupe -> enrich -> engine
//
// It ends by SIGTERM. BROKERS, GRAPH, ENGINE, TOPIC and GROUP say where.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

var (
	brokers = os.Getenv("BROKERS")
	graph   = os.Getenv("GRAPH")
	engine  = os.Getenv("ENGINE")
	topic   = os.Getenv("TOPIC")
	group   = os.Getenv("GROUP")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	work := map[string]func(context.Context) error{"a": poll, "b": deliver}
	if len(os.Args) != 2 || work[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: direct a|b")
		os.Exit(2)
	}
	if err := work[os.Args[1]](ctx); err != nil {
		fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
		os.Exit(1)
	}
}
