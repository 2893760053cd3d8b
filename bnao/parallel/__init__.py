"""Work shared by processes, machines and devices: jobs with locks, pools of workers, ranks of one supernet."""
