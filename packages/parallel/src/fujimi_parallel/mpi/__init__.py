"""The backend "mpi" of torch.distributed, over any MPI library that mpi4py loads."""
