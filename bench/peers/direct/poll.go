package main

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// poll produces without waiting, four tenants at a time, and reports the first failure at the end.
func poll(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic(topic),
		kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer cl.Close()
	var once sync.Once
	var failed error
	err = pollAlerts(ctx, func(tenant, id string, alert []byte) {
		cl.Produce(ctx, &kgo.Record{Key: []byte(tenant + "/" + id), Value: alert}, func(_ *kgo.Record, err error) {
			if err != nil {
				once.Do(func() { failed = err })
			}
		})
	})
	if err != nil {
		return err
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	<-ctx.Done() // stays until this process's counters have been read
	return nil
}
