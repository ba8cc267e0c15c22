// Package load holds the clients of the load generators: they do as little as
// the protocol lets a client do, so that the server is what is measured.
// Requests are encoded once and sent again and again, with nothing but the
// number of each message changed; what one read brings is answered by one write.
//
// Every message bears a number that no other has. What was sent and what arrived
// is compared by Tally, so that a figure stands only for messages that all came,
// each as often as it should.
//
// Group runs what loads nsqd from many sides at once.
package load
