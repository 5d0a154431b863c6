package mail

// Compose lets tests read mails without a server.
var Compose = compose

// MaxQueue is how many mails may wait.
const MaxQueue = maxQueue
